// Variables that one thread at a time changes, and that any thread may look at
// meanwhile.
#pragma once

#include <atomic>

namespace gipc {

template <typename T> class Relaxed {
public:
  constexpr Relaxed(T value = T{}) noexcept : value_(value) {}
  Relaxed(const Relaxed &) = delete;
  Relaxed &operator=(const Relaxed &) = delete;

  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }
  T operator->() const noexcept { return *this; }
  T operator=(T value) noexcept {
    value_.store(value, std::memory_order_relaxed);
    return value;
  }
  T operator+=(T more) noexcept { return *this = static_cast<T>(*this) + more; }
  T operator++() noexcept { return *this += 1; }
  T operator--() noexcept { return *this = static_cast<T>(*this) - 1; }

private:
  std::atomic<T> value_;
};

// The same where each load counts: the thread that changes it loads it like a
// plain variable, which the compiler may keep in a register, and only the
// others call seen().
template <typename T> class Published {
public:
  constexpr Published(T value = T{}) noexcept : value_(value) {}
  Published(const Published &) = delete;
  Published &operator=(const Published &) = delete;

  operator T() const noexcept { return value_; }
  T seen() const noexcept { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
  T operator=(T value) noexcept {
    __atomic_store_n(&value_, value, __ATOMIC_RELAXED);
    return value;
  }
  T operator+=(T more) noexcept { return *this = value_ + more; }
  T operator-=(T less) noexcept { return *this = value_ - less; }

private:
  T value_;
};

} // namespace gipc
