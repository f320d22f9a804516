import { networkInterfaces } from 'node:os';
import { expect, it, vi } from 'vitest';
import { hasChangedNetwork } from './network-addresses.ts';

vi.mock('node:os', { spy: true });

type Addresses = NonNullable<ReturnType<typeof networkInterfaces>[string]>;

const addressOf = (address: string, internal = false): Addresses[number] => ({
  address,
  internal,
  netmask: '255.255.255.0',
  mac: '02:00:00:00:00:01',
  cidr: `${address}/24`,
  family: 'IPv4',
});

function beIn(networks: Record<string, string>): void {
  const others = Object.entries(networks).map(([name, address]) => [name, [addressOf(address)]] as const);
  vi.mocked(networkInterfaces).mockReturnValue({
    lo: [addressOf('127.0.0.1', true)],
    ...Object.fromEntries(others),
  });
}

it('a device that still has the address has not changed its network, whatever others it has come to', () => {
  beIn({ wlan0: '192.0.2.7', eth0: '198.51.100.7' });
  expect(hasChangedNetwork('192.0.2.7')).toBe(false);
  expect(hasChangedNetwork('::ffff:192.0.2.7')).toBe(false);
  expect(hasChangedNetwork('127.0.0.1')).toBe(false);
});

it('a device that has lost the address and has another one has', () => {
  beIn({ eth0: '198.51.100.7' });
  expect(hasChangedNetwork('192.0.2.7')).toBe(true);
});

it('a device without any network may come back to the one it had', () => {
  beIn({});
  expect(hasChangedNetwork('192.0.2.7')).toBe(false);
});
