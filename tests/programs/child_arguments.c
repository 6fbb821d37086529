/* Prints its arguments in brackets, then its environment. */
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    printf("[%s]", argv[i]);
  printf("\n");
  for (char **entry = environ; *entry != NULL; entry++)
    printf("%s\n", *entry);
  return 0;
}
