/** Runs in the sandbox before the page: hands the page the requests and events of the contract, and nothing else. */
import { contextBridge, ipcRenderer } from 'electron';
import { channelOf, IPC_EVENTS, IPC_REQUESTS, type IpcAnswer, type ProofcastBridge } from './ipc.ts';

const bridge: ProofcastBridge = {
  async request(name, params) {
    if (!Object.hasOwn(IPC_REQUESTS, name)) throw new TypeError(`There is no request ${name}.`);
    const answer: unknown = await ipcRenderer.invoke(channelOf(name), params);
    return answer as IpcAnswer<never>;
  },
  on(name, listener) {
    if (!Object.hasOwn(IPC_EVENTS, name)) throw new TypeError(`There is no event ${name}.`);
    const forward = (_event: unknown, data: unknown): void => listener(data as never);
    ipcRenderer.on(channelOf(name), forward);
    return () => void ipcRenderer.removeListener(channelOf(name), forward);
  },
};

contextBridge.exposeInMainWorld('proofcast', bridge);
