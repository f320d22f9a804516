/** Test code: a machine without a key store, as a fresh Debian is. */
export const safeStorage = {
  isAsyncEncryptionAvailable: () => Promise.resolve(false),
  encryptStringAsync: (_plainText: string): Promise<Buffer> => Promise.reject(new Error('No key store.')),
  decryptStringAsync: (_encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }> =>
    Promise.reject(new Error('No key store.')),
  getSelectedStorageBackend: () => 'basic_text',
};
