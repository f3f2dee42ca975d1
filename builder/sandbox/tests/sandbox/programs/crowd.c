/* Many threads, many processes, and a job that is stopped and goes on: says of each whether something
   went wrong. Or who it is, or whether it can be traced. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

static long long begun;

static void *asks(void *unused) {
  (void)unused;
  for (int i = 0; i < 200; i++)
    if (seconds() < begun) return "back";
  return NULL;
}

static int threads(void) {
  for (int round = 0; round < 10; round++) {
    pthread_t all[32];
    for (int i = 0; i < 32; i++)
      if (pthread_create(&all[i], NULL, asks, NULL) != 0) return 1;
    for (int i = 0; i < 32; i++) {
      void *said;
      pthread_join(all[i], &said);
      if (said != NULL) return 1;
    }
  }
  return 0;
}

static int forks(void) {
  for (int round = 0; round < 40; round++) {
    for (int i = 0; i < 20; i++)
      if (fork() == 0) _exit(seconds() < begun);
    int status;
    for (int i = 0; i < 20; i++)
      if (wait(&status) < 0 || status != 0) return 1;
  }
  return 0;
}

/* A thread that is not the first becomes another program. */
static void *becomes(void *unused) {
  (void)unused;
  execl("/bin/true", "true", (char *)NULL);
  return NULL;
}

static int becomes_another(void) {
  pid_t child = fork();
  if (child == 0) {
    pthread_t other;
    pthread_create(&other, NULL, becomes, NULL);
    for (;;) pause();
  }
  int status;
  return waitpid(child, &status, 0) != child || status != 0;
}

static int stops(void) {
  int on[2];
  char byte = 0;
  if (pipe(on) != 0) return 8;
  pid_t child = fork();
  if (child == 0) {
    /* Else nobody of its session could let it go on, and the kernel would ignore the second. */
    setpgid(0, 0);
    raise(SIGSTOP);
    /* Each only when it was seen to go on: a later stop, or the end, takes that news away. */
    if (read(on[0], &byte, 1) != 1) _exit(8);
    kill(getpid(), SIGTSTP);
    if (read(on[0], &byte, 1) != 1) _exit(8);
    _exit(7);
  }
  int status;
  const int signals[] = {SIGSTOP, SIGTSTP};
  for (int i = 0; i < 2; i++) {
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) return 1;
    if (WSTOPSIG(status) != signals[i]) return 2;
    /* It stays stopped. */
    usleep(50000);
    if (waitpid(child, &status, WNOHANG) != 0) return 3;
    kill(child, SIGCONT);
    if (waitpid(child, &status, WCONTINUED) != child || !WIFCONTINUED(status)) return 4;
    if (write(on[1], &byte, 1) != 1) return 5;
  }
  return waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7;
}

static char stack[65536];
static int untraced(void *unused) {
  (void)unused;
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (at.tv_sec < begun) return 1;
  at.tv_nsec = 0;
  at.tv_sec += 1;
  return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == 0 ? 9 : 2;
}

static int escapes(void) {
  pid_t child = clone(untraced, stack + sizeof stack, CLONE_UNTRACED | SIGCHLD, NULL);
  int status;
  return waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 9;
}

int main(int count, char **arguments) {
  begun = seconds();
  if (count > 1 && strcmp(arguments[1], "id") == 0) return printf("%d\n", (int)geteuid()) < 0;
  if (count > 1 && strcmp(arguments[1], "ptrace") == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) return 0;
    perror("ptrace");
    return 5;
  }
  const struct {
    const char *name;
    int (*run)(void);
  } all[] = {{"threads", threads},
             {"forks", forks},
             {"becomes", becomes_another},
             {"stops", stops},
             {"escapes", escapes}};
  for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
    printf("%s %d\n", all[i].name, all[i].run());
  return 0;
}
