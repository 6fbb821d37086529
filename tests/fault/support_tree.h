/* The same helpers as the API tests have, for this folder's programs. */
#include "../api/support_tree.h"
