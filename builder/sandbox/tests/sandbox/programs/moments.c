/* Says what time it is by every way that the C library has, and by calls made by hand. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static void say(const char *how, long long seconds) { printf("%s %lld\n", how, seconds); }

int main(void) {
  struct timespec now;
  struct timeval day;
  static const struct {
    const char *name;
    clockid_t clock;
  } clocks[] = {{"realtime", CLOCK_REALTIME}, {"coarse", CLOCK_REALTIME_COARSE}, {"tai", CLOCK_TAI}};
  for (unsigned i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
    if (clock_gettime(clocks[i].clock, &now) != 0) return 1;
    say(clocks[i].name, now.tv_sec);
  }
  if (gettimeofday(&day, NULL) != 0) return 1;
  say("gettimeofday", day.tv_sec);
  time_t at;
  if (time(&at) != time(NULL) && time(&at) != time(NULL)) return 1;
  say("time", at);
  if (syscall(SYS_gettimeofday, &day, NULL) != 0) return 1;
  say("raw-gettimeofday", day.tv_sec);
#ifdef SYS_time
  say("raw-time", syscall(SYS_time, NULL));
#endif
#ifdef SYS_clock_gettime64
  long long both[2];
  if (syscall(SYS_clock_gettime64, CLOCK_REALTIME, both) != 0) return 1;
  say("raw-clock-gettime64", both[0]);
#endif
  long two[2];
  if (syscall(SYS_clock_gettime, CLOCK_REALTIME, two) != 0) return 1;
  say("raw-clock-gettime", two[0]);
  struct timex timex = {.modes = 0};
  if (adjtimex(&timex) < 0) return 1;
  say("adjtimex", timex.time.tv_sec);
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 1;
  say("monotonic", now.tv_sec);
  /* What the kernel is asked to write to nowhere. */
  say("bad-pointer", syscall(SYS_clock_gettime, CLOCK_REALTIME, 1L));
  say("page", getauxval(AT_SYSINFO_EHDR) != 0);
  return 0;
}
