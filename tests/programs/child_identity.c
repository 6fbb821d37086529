/* Prints its IDs, and tries to become root again. */
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void) {
  gid_t groups[64];
  uid_t real, effective, saved;
  int count = getgroups(64, groups);
  if (getresuid(&real, &effective, &saved) != 0)
    return 1;
  printf("uid %d %d %d gid %d groups", (int)real, (int)effective, (int)saved,
         (int)getgid());
  for (int i = 0; i < count; i++)
    printf(" %d", (int)groups[i]);
  printf(" regain %d %d %d nnp %d\n", setuid(0) == 0, setgid(0) == 0,
         setgroups(0, NULL) == 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  return 0;
}
