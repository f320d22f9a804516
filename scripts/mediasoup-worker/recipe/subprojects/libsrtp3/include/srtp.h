// What the mediasoup worker calls of libsrtp 3, on top of libsrtp 2.5 (C++ only, all inline).
//
// Version 3 differs in three ways that matter here: a policy is an object behind functions instead of a
// struct; protect and unprotect read one buffer and write another one instead of working in place; and a
// few names changed. The types, profiles, events and other functions are the same in both.

#ifndef PROOFCAST_SRTP3_ON_SRTP2_H
#define PROOFCAST_SRTP3_ON_SRTP2_H

// In version 2 `srtp_policy_t` is the struct, in version 3 a pointer to a hidden one. Renaming the former
// while its header is read leaves the name free for the latter. The names of functions can stay, since
// overloads with other parameters may stand beside functions with C linkage.
#define srtp_policy_t srtp2_policy_t
#include <srtp2/srtp.h>
#undef srtp_policy_t

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string.h> // explicit_bzero()

// Error codes that version 2 does not have, with the values of version 3.
inline constexpr srtp_err_status_t srtp_err_status_buffer_small = static_cast<srtp_err_status_t>(28);
inline constexpr srtp_err_status_t srtp_err_status_cryptex_err = static_cast<srtp_err_status_t>(29);

struct srtp3_policy
{
  srtp2_policy_t policy{};
  // Master key with the salt behind it, which is how version 2 takes them.
  uint8_t key_and_salt[SRTP_MAX_KEY_LEN]{};
  size_t key_len{ 0 };
  size_t salt_len{ 0 };
};

using srtp_policy_t = srtp3_policy*;

inline srtp_err_status_t srtp_policy_create(srtp_policy_t* policy)
{
  *policy = new (std::nothrow) srtp3_policy();

  return *policy != nullptr ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

inline void srtp_policy_destroy(srtp_policy_t policy)
{
  if (policy != nullptr)
  {
    // libsrtp has its own copy by now; key material must not stay behind in freed memory.
    explicit_bzero(policy->key_and_salt, sizeof(policy->key_and_salt));
  }

  delete policy;
}

inline srtp_err_status_t srtp_policy_set_ssrc(srtp_policy_t policy, srtp_ssrc_t ssrc)
{
  policy->policy.ssrc = ssrc;

  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_profile(srtp_policy_t policy, srtp_profile_t profile)
{
  const srtp_err_status_t err =
    srtp_crypto_policy_set_from_profile_for_rtp(&policy->policy.rtp, profile);

  return err != srtp_err_status_ok
           ? err
           : srtp_crypto_policy_set_from_profile_for_rtcp(&policy->policy.rtcp, profile);
}

// One key per policy, without a master key identifier: all that WebRTC uses.
inline srtp_err_status_t srtp_policy_add_key(
  srtp_policy_t policy,
  const uint8_t* key,
  size_t key_len,
  const uint8_t* salt,
  size_t salt_len,
  const uint8_t* mki,
  size_t mki_len)
{
  if (policy->key_len != 0 || mki != nullptr || mki_len != 0)
  {
    return srtp_err_status_bad_param;
  }

  if (key_len == 0 || key_len > SRTP_MAX_KEY_LEN || salt_len > SRTP_MAX_KEY_LEN - key_len)
  {
    return srtp_err_status_bad_param;
  }

  std::memcpy(policy->key_and_salt, key, key_len);
  std::memcpy(policy->key_and_salt + key_len, salt, salt_len);
  policy->key_len = key_len;
  policy->salt_len = salt_len;

  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_allow_repeat_tx(srtp_policy_t policy, bool allow)
{
  policy->policy.allow_repeat_tx = allow ? 1 : 0;

  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_window_size(srtp_policy_t policy, size_t window_size)
{
  policy->policy.window_size = window_size;

  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_create(srtp_t* session, srtp_policy_t policy)
{
  // Version 2 takes the length of the key from the profile and would read past a shorter one.
  const auto wanted_len = static_cast<size_t>(policy->policy.rtp.cipher_key_len);

  if (policy->key_len == 0 || policy->key_len + policy->salt_len != wanted_len)
  {
    return srtp_err_status_bad_param;
  }

  policy->policy.key = policy->key_and_salt;

  return srtp_create(session, static_cast<const srtp2_policy_t*>(&policy->policy));
}

inline srtp_err_status_t srtp_stream_remove(srtp_t session, uint32_t ssrc)
{
  return srtp_remove_stream(session, ssrc);
}

namespace srtp3_on_srtp2
{
  using in_place_function = srtp_err_status_t (*)(srtp_t, void*, int*);

  // Copies `in` to `out` and lets version 2 work there. `out_len` is the size of `out` on entry and the
  // length of the result on return; `growth` is how much the result may be longer than `in`. A caller
  // may give the same buffer twice.
  inline srtp_err_status_t copy_then_work(
    in_place_function work,
    srtp_t session,
    const uint8_t* in,
    size_t in_len,
    uint8_t* out,
    size_t* out_len,
    size_t growth)
  {
    constexpr size_t max_packet_len{ 65536 };

    if (in_len > max_packet_len || *out_len < in_len + growth)
    {
      return srtp_err_status_buffer_small;
    }

    if (out != in)
    {
      std::memmove(out, in, in_len);
    }

    int len = static_cast<int>(in_len);
    const srtp_err_status_t err = work(session, out, &len);

    if (err == srtp_err_status_ok)
    {
      *out_len = static_cast<size_t>(len);
    }

    return err;
  }
} // namespace srtp3_on_srtp2

// The worker never uses master key identifiers, so `mki_index` is always 0 and plays no part.

inline srtp_err_status_t srtp_protect(
  srtp_t session, const uint8_t* rtp, size_t rtp_len, uint8_t* srtp, size_t* srtp_len, size_t /*mki_index*/)
{
  return srtp3_on_srtp2::copy_then_work(
    srtp_protect, session, rtp, rtp_len, srtp, srtp_len, SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t srtp_unprotect(
  srtp_t session, const uint8_t* srtp, size_t srtp_len, uint8_t* rtp, size_t* rtp_len)
{
  return srtp3_on_srtp2::copy_then_work(srtp_unprotect, session, srtp, srtp_len, rtp, rtp_len, 0);
}

inline srtp_err_status_t srtp_protect_rtcp(
  srtp_t session, const uint8_t* rtcp, size_t rtcp_len, uint8_t* srtcp, size_t* srtcp_len, size_t /*mki_index*/)
{
  // SRTCP adds its 4-byte index beside the trailer (RFC 3711, section 3.4).
  return srtp3_on_srtp2::copy_then_work(
    srtp_protect_rtcp, session, rtcp, rtcp_len, srtcp, srtcp_len, SRTP_MAX_TRAILER_LEN + 4);
}

inline srtp_err_status_t srtp_unprotect_rtcp(
  srtp_t session, const uint8_t* srtcp, size_t srtcp_len, uint8_t* rtcp, size_t* rtcp_len)
{
  return srtp3_on_srtp2::copy_then_work(
    srtp_unprotect_rtcp, session, srtcp, srtcp_len, rtcp, rtcp_len, 0);
}

#endif
