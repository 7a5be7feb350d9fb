/* What the binary knows of its making. The only file that is compiled anew when the
 * revision changes. */
#include "build_info.h"
#include "retort/pins.h"

struct build_info build_info(void)
{
    return (struct build_info){RETORT_VERSION, BUILD_COMMIT, BUILD_COMPILER, BUILD_FLAGS,
                               BUILD_DIRTY != 0};
}
