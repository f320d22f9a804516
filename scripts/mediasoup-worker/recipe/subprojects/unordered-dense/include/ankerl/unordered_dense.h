// The mediasoup worker uses `ankerl::unordered_dense` only through the interface that it shares with the
// standard containers, so the standard ones serve: a little slower to walk, never invalidating more.

#ifndef PROOFCAST_UNORDERED_DENSE_H
#define PROOFCAST_UNORDERED_DENSE_H

#include <functional>
#include <unordered_map>
#include <unordered_set>

namespace ankerl::unordered_dense
{
  template<typename Key>
  using hash = std::hash<Key>;

  template<typename Key, typename Value, typename Hash = hash<Key>, typename KeyEqual = std::equal_to<Key>>
  using map = std::unordered_map<Key, Value, Hash, KeyEqual>;

  template<typename Key, typename Hash = hash<Key>, typename KeyEqual = std::equal_to<Key>>
  using set = std::unordered_set<Key, Hash, KeyEqual>;
} // namespace ankerl::unordered_dense

#endif
