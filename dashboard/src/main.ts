import '@fontsource-variable/inter/wght.css';
import { createDashboard } from './app.ts';
import './styles/base.css';
import './styles/stage.css';
import './styles/table.css';

createDashboard().mount('#app');
