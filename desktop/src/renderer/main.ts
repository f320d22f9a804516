import '@fontsource-variable/inter/wght.css';
import { createApp } from 'vue';
import App from './App.vue';
import './base.css';
import { createComponentLibrary } from './vuetify.ts';

createApp(App).use(createComponentLibrary()).mount('#app');
