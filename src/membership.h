// The wait sets that an object is in, so that a freed object is removed from
// all of them.
#pragma once

namespace gipc {

class Memberships;

// One object in one set.  The set owns it.
class Membership {
public:
  Membership() noexcept = default;
  Membership(const Membership &) = delete;
  Membership &operator=(const Membership &) = delete;
  ~Membership() { leave(); }

  void join(Memberships &object, const void *set) noexcept;
  void leave() noexcept;
  // Whether the object was removed, or freed.
  bool has_ended() const noexcept { return object_ == nullptr; }

private:
  friend class Memberships;
  Memberships *object_ = nullptr;
  const void *set_ = nullptr;
  Membership *previous_ = nullptr, *next_ = nullptr;
};

// The memberships of one object.
class Memberships {
public:
  Memberships() noexcept = default;
  Memberships(const Memberships &) = delete;
  Memberships &operator=(const Memberships &) = delete;
  ~Memberships() { end(); }

  // NULL if the object is not in this set.
  Membership *in(const void *set) const noexcept {
    Membership *member = first_;
    while (member != nullptr && member->set_ != set)
      member = member->next_;
    return member;
  }
  void end() noexcept {
    while (first_ != nullptr)
      first_->leave();
  }

private:
  friend class Membership;
  Membership *first_ = nullptr;
};

inline void Membership::join(Memberships &object, const void *set) noexcept {
  object_ = &object;
  set_ = set;
  next_ = object.first_;
  if (next_ != nullptr)
    next_->previous_ = this;
  object.first_ = this;
}

inline void Membership::leave() noexcept {
  if (object_ == nullptr)
    return;
  if (previous_ != nullptr)
    previous_->next_ = next_;
  else
    object_->first_ = next_;
  if (next_ != nullptr)
    next_->previous_ = previous_;
  object_ = nullptr;
  previous_ = next_ = nullptr;
}

} // namespace gipc
