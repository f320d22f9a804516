/**
 * The two palettes, the same as the dashboard's: graphite surfaces and one cold accent, so that the only saturated
 * thing on the screen is a state that wants attention. Text on every surface it stands on has a contrast of at least
 * 4.5 (WCAG 2.2, 1.4.3).
 */
import type { ThemeDefinition } from 'vuetify';

export const dark: ThemeDefinition = {
  dark: true,
  colors: {
    background: '#0b1014',
    surface: '#121920',
    'surface-bright': '#1b242d',
    'surface-light': '#18212a',
    'surface-variant': '#24303b',
    'on-background': '#e3eaef',
    'on-surface': '#e3eaef',
    'on-surface-variant': '#c9d4dd',
    primary: '#86c7df',
    'on-primary': '#06222d',
    error: '#f39384',
    'on-error': '#390c05',
    warning: '#e8b557',
    'on-warning': '#2b1c00',
    success: '#63c79b',
    'on-success': '#04261a',
    info: '#86c7df',
    'on-info': '#06222d',
    muted: '#93a3b1',
    line: '#26323c',
    stage: '#05080a',
  },
  variables: {
    'border-color': '#9fb2c0',
    'border-opacity': 0.16,
    'high-emphasis-opacity': 1,
    'medium-emphasis-opacity': 0.76,
    'disabled-opacity': 0.45,
  },
};

export const light: ThemeDefinition = {
  dark: false,
  colors: {
    background: '#f2f5f6',
    surface: '#ffffff',
    'surface-bright': '#ffffff',
    'surface-light': '#f7f9fa',
    'surface-variant': '#e2e9ed',
    'on-background': '#16212a',
    'on-surface': '#16212a',
    'on-surface-variant': '#2b3944',
    primary: '#0a5f7c',
    'on-primary': '#ffffff',
    error: '#a8321f',
    'on-error': '#ffffff',
    warning: '#855400',
    'on-warning': '#ffffff',
    success: '#17704a',
    'on-success': '#ffffff',
    info: '#0a5f7c',
    'on-info': '#ffffff',
    muted: '#566672',
    line: '#d9e1e6',
    stage: '#0b1014',
  },
  variables: {
    'border-color': '#16212a',
    'border-opacity': 0.14,
    'high-emphasis-opacity': 1,
    'medium-emphasis-opacity': 0.78,
    'disabled-opacity': 0.45,
  },
};
