/** The devices of this machine that sound can come from, as they come and go. */
import { onMounted, onUnmounted, shallowRef, type Ref } from 'vue';
import { MAX_SOURCE_NAME_LENGTH, type SoundSource } from '../ipc.ts';

/** Empty until they are known, and when there are none. */
export function useSoundSources(): Readonly<Ref<readonly SoundSource[]>> {
  const sources = shallowRef<readonly SoundSource[]>([]);
  const { mediaDevices } = navigator;
  const read = async (): Promise<void> => {
    sources.value = await listSoundSources().catch(() => []);
  };
  const onChanged = (): void => void read();
  onMounted(() => {
    mediaDevices.addEventListener('devicechange', onChanged);
    void read();
  });
  onUnmounted(() => mediaDevices.removeEventListener('devicechange', onChanged));
  return sources;
}

export async function listSoundSources(): Promise<SoundSource[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter(({ kind, deviceId }) => kind === 'audioinput' && deviceId !== '')
    .map(({ deviceId, label }) => ({
      deviceId,
      name: label.slice(0, MAX_SOURCE_NAME_LENGTH) || 'Microphone',
    }));
}
