/** The addresses of this device. */
import { networkInterfaces } from 'node:os';

/**
 * Whether the device has left the network in which it had `address`, and is in another one. A device that is in none may
 * come back to the same address, and connections from it then go on.
 */
export function hasChangedNetwork(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  const present = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  if (present.some((one) => one.address === plain)) return false;
  return present.some((one) => !one.internal && !one.address.startsWith('fe80:'));
}
