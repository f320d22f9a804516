import { createDashboard } from './app.ts';

createDashboard().mount('#app');
