/* Waits until a moment of the time of day, a little ahead, in every way that there is; says how long
   each took. All of them must time out, and none early. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define AHEAD_MS 300

static struct timespec ahead(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  at.tv_nsec += AHEAD_MS * 1000000L;
  at.tv_sec += at.tv_nsec / 1000000000L;
  at.tv_nsec %= 1000000000L;
  return at;
}

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t inherits;
static const struct timespec *given;

static int wait_condition(void) {
  struct timespec at = ahead(CLOCK_REALTIME), before = at;
  pthread_mutex_lock(&mutex);
  int result = pthread_cond_timedwait(&condition, &mutex, &at);
  pthread_mutex_unlock(&mutex);
  /* The deadline is the program's: nobody writes to it. */
  if (memcmp(&at, &before, sizeof at) != 0) return -2;
  return result;
}

static int wait_semaphore(void) {
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  struct timespec at = ahead(CLOCK_REALTIME);
  return sem_timedwait(&semaphore, &at) == 0 ? 0 : errno;
}

static void *lock_timed(void *which) {
  static int result;
  struct timespec at = ahead(CLOCK_REALTIME);
  given = &at;
  result = pthread_mutex_timedlock(which, &at);
  return &result;
}

/* Another thread holds it: one of one's own would be refused or deadlock at once. */
static int wait_lock(pthread_mutex_t *which) {
  pthread_t other;
  void *result;
  pthread_mutex_lock(which);
  pthread_create(&other, NULL, lock_timed, which);
  pthread_join(other, &result);
  pthread_mutex_unlock(which);
  return *(int *)result;
}

static int wait_mutex(void) { return wait_lock(&mutex); }

static int wait_inheriting(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&inherits, &attributes);
  return wait_lock(&inherits);
}

static void *read_timed(void *unused) {
  (void)unused;
  static int result;
  struct timespec at = ahead(CLOCK_REALTIME);
  result = pthread_rwlock_timedrdlock(&lock, &at);
  return &result;
}

static int wait_rwlock(void) {
  pthread_t other;
  void *result;
  pthread_rwlock_wrlock(&lock);
  pthread_create(&other, NULL, read_timed, NULL);
  pthread_join(other, &result);
  pthread_rwlock_unlock(&lock);
  return *(int *)result;
}

static void *for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

static int wait_thread(void) {
  pthread_t other;
  pthread_create(&other, NULL, for_ever, NULL);
  struct timespec at = ahead(CLOCK_REALTIME);
  return pthread_timedjoin_np(other, NULL, &at);
}

static int sleep_until(void) {
  struct timespec at = ahead(CLOCK_REALTIME);
  int result = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL);
  return result == 0 ? ETIMEDOUT : result;
}

static int sleep_until_tai(void) {
  struct timespec at = ahead(CLOCK_TAI);
  int result = clock_nanosleep(CLOCK_TAI, TIMER_ABSTIME, &at, NULL);
  return result == 0 ? ETIMEDOUT : result;
}

static int sleep_monotonic(void) {
  struct timespec at = ahead(CLOCK_MONOTONIC);
  int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
  return result == 0 ? ETIMEDOUT : result;
}

static int wait_descriptor(clockid_t clock) {
  int timer = timerfd_create(clock, 0);
  struct itimerspec at = {.it_value = ahead(clock)};
  if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL) != 0) return errno;
  struct itimerspec left;
  timerfd_gettime(timer, &left);
  if (left.it_value.tv_sec > 1) return -3;
  uint64_t times;
  if (read(timer, &times, sizeof times) != sizeof times) return errno;
  close(timer);
  return ETIMEDOUT;
}

static int wait_descriptor_of_day(void) { return wait_descriptor(CLOCK_REALTIME); }
static int wait_descriptor_monotonic(void) { return wait_descriptor(CLOCK_MONOTONIC); }

static int wait_timer(void) {
  timer_t timer;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  if (timer_create(CLOCK_REALTIME, &event, &timer) != 0) return errno;
  struct itimerspec at = {.it_value = ahead(CLOCK_REALTIME)};
  if (timer_settime(timer, TIMER_ABSTIME, &at, NULL) != 0) return errno;
  int signal;
  sigwait(&set, &signal);
  return ETIMEDOUT;
}

static int wait_queue(void) {
  struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
  mqd_t queue = mq_open("/deadlines", O_CREAT | O_RDWR, 0600, &attributes);
  if (queue == (mqd_t)-1) return errno;
  char message[8];
  struct timespec at = ahead(CLOCK_REALTIME);
  int result = mq_timedreceive(queue, message, sizeof message, NULL, &at) < 0 ? errno : 0;
  mq_unlink("/deadlines");
  mq_close(queue);
  return result;
}

static int wait_vector(void) {
  static uint32_t word = 0;
  struct {
    uint64_t value, address;
    uint32_t flags, reserved;
  } waiter = {0, (uintptr_t)&word, 2 /* FUTEX_32 */, 0};
  struct {
    int64_t seconds, nanos;
  } at;
  struct timespec moment = ahead(CLOCK_REALTIME);
  at.seconds = moment.tv_sec;
  at.nanos = moment.tv_nsec;
  syscall(449, &waiter, 1, 0, &at, CLOCK_REALTIME);
  return errno;
}

static volatile int signals;
static void count(int signal) { (void)signal, signals++; }

/* A signal interrupts the call, which is then made again with what it had before. */
static int wait_interrupted(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerspec often = {.it_interval = {0, 40000000}, .it_value = {0, 40000000}};
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  timer_settime(timer, 0, &often, NULL);
  int result = wait_condition();
  struct timespec at = ahead(CLOCK_REALTIME);
  while (result == ETIMEDOUT && clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR) {
  }
  timer_delete(timer);
  return signals > 3 ? result : -4;
}

int main(void) {
  static const struct {
    const char *name;
    int (*wait)(void);
    int least_ms;
  } ways[] = {
      {"condition", wait_condition, AHEAD_MS},
      {"semaphore", wait_semaphore, AHEAD_MS},
      {"mutex", wait_mutex, AHEAD_MS},
      {"inheriting-mutex", wait_inheriting, AHEAD_MS},
      {"rwlock", wait_rwlock, AHEAD_MS},
      {"thread", wait_thread, AHEAD_MS},
      {"sleep", sleep_until, AHEAD_MS},
      {"sleep-tai", sleep_until_tai, AHEAD_MS},
      {"sleep-monotonic", sleep_monotonic, AHEAD_MS},
      {"descriptor", wait_descriptor_of_day, AHEAD_MS},
      {"descriptor-monotonic", wait_descriptor_monotonic, AHEAD_MS},
      {"timer", wait_timer, AHEAD_MS},
      {"queue", wait_queue, AHEAD_MS},
      {"vector", wait_vector, AHEAD_MS},
      {"interrupted", wait_interrupted, 2 * AHEAD_MS},
  };
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    long long start = now_ms();
    int result = ways[i].wait();
    long long took = now_ms() - start;
    int in_time = took >= ways[i].least_ms - 20 && took < 20000;
    printf("%s %s", ways[i].name, result == ETIMEDOUT && in_time ? "ok\n" : "");
    if (result != ETIMEDOUT || !in_time)
      printf("gave %d (%s) after %lld ms\n", result, strerror(result), took);
    fflush(stdout);
  }
  return 0;
}
