// Linux: the IDs of the calling thread.
#include "os_common.h"

#include "sys.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace gipc::os {

namespace {

// The C library's wrappers signal every thread of the process, which in a raw
// clone are the parent's.
template <typename... Arguments>
int raw(const char *name, long number, Arguments... arguments) noexcept {
  return sys::retry_int(name, [&] { return ::syscall(number, arguments...); });
}

// On 32-bit systems that are old enough, the calls of the plain names take 16
// bits.
#ifdef SYS_setuid32
enum : long {
  call_setgroups = SYS_setgroups32,
  call_setgid = SYS_setgid32,
  call_setuid = SYS_setuid32,
  call_getgroups = SYS_getgroups32,
  call_getresgid = SYS_getresgid32,
  call_getresuid = SYS_getresuid32
};
#else
enum : long {
  call_setgroups = SYS_setgroups,
  call_setgid = SYS_setgid,
  call_setuid = SYS_setuid,
  call_getgroups = SYS_getgroups,
  call_getresgid = SYS_getresgid,
  call_getresuid = SYS_getresuid
};
#endif

} // namespace

int set_groups(const gid_t *groups, size_t count) noexcept {
  return raw("setgroups", call_setgroups, count, groups);
}

int set_gid(gid_t gid) noexcept { return raw("setgid", call_setgid, gid); }

int set_uid(uid_t uid) noexcept { return raw("setuid", call_setuid, uid); }

int get_groups(gid_t *groups, size_t room) noexcept {
  return raw("getgroups", call_getgroups, room, groups);
}

int get_gids(gid_t (&ids)[3]) noexcept {
  return raw("getresgid", call_getresgid, &ids[0], &ids[1], &ids[2]);
}

int get_uids(uid_t (&ids)[3]) noexcept {
  return raw("getresuid", call_getresuid, &ids[0], &ids[1], &ids[2]);
}

} // namespace gipc::os
