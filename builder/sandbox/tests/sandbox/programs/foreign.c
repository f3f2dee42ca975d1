/* Makes calls of other conventions of the kernel: i386's from a program of x86-64, and x32's. */
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned low[2];

int main(void) {
  long result;
  /* clock_gettime of i386 wants an address below 4 GiB: this program is linked there. */
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(265), "b"(0), "c"(low) : "memory");
  printf("i386 %ld %u\n", result, low[0]);
  printf("x32 %ld\n", syscall(0x40000000 + SYS_clock_gettime, 0, low));
  return 0;
}
