// Which wait sets an object is in, so that one which is freed leaves them all.
#pragma once

namespace gipc {

class Memberships;

// One object in one set.  It belongs to the set.
class Membership {
public:
  Membership() noexcept = default;
  Membership(const Membership &) = delete;
  Membership &operator=(const Membership &) = delete;
  ~Membership() { leave(); }

  void join(Memberships &object, const void *set) noexcept;
  void leave() noexcept;
  // The object has left, or was freed.
  bool over() const noexcept { return object_ == nullptr; }

private:
  friend class Memberships;
  Memberships *object_ = nullptr;
  const void *set_ = nullptr;
  Membership *previous_ = nullptr, *next_ = nullptr;
};

// Those of one object.
class Memberships {
public:
  Memberships() noexcept = default;
  Memberships(const Memberships &) = delete;
  Memberships &operator=(const Memberships &) = delete;
  ~Memberships() { end(); }

  // NULL when the object is not in this set.
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
