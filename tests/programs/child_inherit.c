/* Prints the result of gipc_inherit() for each of its arguments, and whether
 * the variable is left afterwards. */
#include "gipc.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    gipc_handle *h = NULL;
    int result = gipc_inherit(argv[i], &h);
    printf("%d ", result);
    if (result != 0 && h != NULL)
      printf("touched ");
    gipc_handle_free(h);
  }
  printf("%s\n", getenv("GIPC_HANDLES") != NULL ? "set" : "unset");
  return 0;
}
