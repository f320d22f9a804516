import { pino } from 'pino';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseServerUrl, SettingsFile, type StoredEnrolment } from './settings.ts';

const log = pino({ level: 'silent' });
const enrolment: StoredEnrolment = {
  serverUrl: 'https://relay.example.com',
  deviceId: 'dev_0123456789abcdefghjk',
  deviceName: 'Desk 7',
  companyName: 'Example',
  keyProtection: 'file',
  streamId: null,
};
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-settings-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the settings', () => {
  it('are empty on the first run', async () => {
    const settings = await SettingsFile.open(directory, log);
    expect(settings.current).toEqual({ version: 1, enrolment: null, lastSourceId: null });
  });

  it('are found again by the next run', async () => {
    const settings = await SettingsFile.open(directory, log);
    await settings.update({ enrolment });
    await settings.update({ lastSourceId: 'screen:0:0' });
    const { current } = await SettingsFile.open(directory, log);
    expect(current).toEqual({ version: 1, enrolment, lastSourceId: 'screen:0:0' });
  });

  it('keep the last of many changes made at once', async () => {
    const settings = await SettingsFile.open(directory, log);
    await Promise.all(['a', 'b', 'c'].map((lastSourceId) => settings.update({ lastSourceId })));
    expect((await SettingsFile.open(directory, log)).current.lastSourceId).toBe('c');
  });

  it('can be read by this user alone, and leave no temporary file', async () => {
    const settings = await SettingsFile.open(directory, log);
    await settings.update({ enrolment });
    expect((await stat(join(directory, 'settings.json'))).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['settings.json']);
  });

  it.each([
    ['no JSON', '{"version":1'],
    ['another version', '{"version":2,"enrolment":null,"lastSourceId":null}'],
    ['an address that is none', JSON.stringify({ version: 1, enrolment: { ...enrolment, serverUrl: 'x' } })],
  ])('that are %s are put aside, not lost', async (_what, text) => {
    await writeFile(join(directory, 'settings.json'), text);
    const settings = await SettingsFile.open(directory, log);
    expect(settings.current.enrolment).toBeNull();
    expect(await readFile(join(directory, 'settings.json.unreadable'), 'utf8')).toBe(text);
  });
});

describe('the address of a server', () => {
  it.each([
    ['https://relay.example.com', 'https://relay.example.com'],
    ['  http://127.0.0.1:8080/ ', 'http://127.0.0.1:8080'],
    ['HTTPS://Relay.Example.com:443', 'https://relay.example.com'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
  ])('%j is %s', (text, origin) => {
    expect(parseServerUrl(text)).toBe(origin);
  });

  it.each([
    ['', 'https://'],
    ['relay.example.com', 'https://'],
    ['relay.example.com:8080', 'https://'],
    ['ftp://relay.example.com', 'https://'],
    ['file:///etc/passwd', 'https://'],
    ['javascript:alert(1)', 'https://'],
    ['https://', 'https://'],
    ['https://me:secret@relay.example.com', 'without user name and password'],
    ['https://relay.example.com/api', 'https://relay.example.com'],
    ['https://relay.example.com/?a=b', 'https://relay.example.com'],
  ])('%j is refused, and the message helps', (text, hint) => {
    expect(() => parseServerUrl(text)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_INVALID', message: expect.stringContaining(hint) }),
    );
  });
});
