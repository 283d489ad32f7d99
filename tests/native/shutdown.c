/* shutdown MOUNTPOINT: ext4 forgets everything that is not on its device, as at a loss of power.
   The journal in memory is not written either (EXT4_GOING_FLAGS_NOLOGFLUSH). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define EXT4_GOING_FLAGS_NOLOGFLUSH 2

int main(int count, char **arguments) {
    uint32_t flags = EXT4_GOING_FLAGS_NOLOGFLUSH;
    int folder = count == 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;
    if (folder < 0 || ioctl(folder, EXT4_IOC_SHUTDOWN, &flags)) {
        perror("shutdown");
        return 1;
    }
    return 0;
}
