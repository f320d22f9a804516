// Changes to the worker's own sources, each by exact match: a new mediasoup whose text differs must be
// looked at by a person, not be built unpatched.

/** @type {{ file: string, why: string, find: string, replace: string }[]} `file` is relative to worker/. */
export const PATCHES = [
  {
    file: 'meson.build',
    why: 'Debian 12 has Meson 1.0.1, which does all that this file needs',
    find: "  meson_version: '>= 1.1.0',\n",
    replace: "  meson_version: '>= 1.0.0',\n",
  },
  {
    file: 'src/RTC/DtlsTransport.cpp',
    // OpenSSL calls a BIO's callback twice, the second time with the BIO_CB_RETURN *bit* beside the
    // operation and the result in `ret`, which the callback must hand back. Comparing the whole value
    // never matches, so 1 is returned for everything. The build that mediasoup ships has no kernel TLS and
    // gets away with it; Debian's asks with BIO_CTRL_GET_KTLS_SEND, takes the 1 for "the kernel sends",
    // allocates no write buffer and crashes at the first handshake.
    why: "Debian's OpenSSL has kernel TLS and would think that it is in use",
    find: 'const long resultOfcallback = (operationType == BIO_CB_RETURN) ? static_cast<long>(ret) : 1;',
    replace: 'const long resultOfcallback = (operationType & BIO_CB_RETURN) ? static_cast<long>(ret) : 1;',
  },
];
