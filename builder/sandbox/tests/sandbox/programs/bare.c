/* As Go programs are: no C library, nothing shared. Looks for the kernel's page of clocks in the
   auxiliary vector and asks it where there is one, else makes the call. Says whether it found one,
   and the seconds. */
#if __x86_64__
#define NUMBER(of64, of32) of64
typedef unsigned long word;
static long call(long number, long one, long two, long three) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(one), "S"(two), "d"(three)
                   : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#else
#define NUMBER(of64, of32) of32
typedef unsigned int word;
static long call(long number, long one, long two, long three) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(one), "c"(two), "d"(three)
                   : "memory");
  return result;
}
__asm__(".globl _start\n_start: mov %esp, %eax\nand $-16, %esp\npush %eax\ncall begin\n");
#endif

static void say(long number) {
  char text[24];
  int at = sizeof text;
  text[--at] = '\n';
  do {
    text[--at] = '0' + number % 10;
    number /= 10;
  } while (number != 0);
  call(NUMBER(1, 4), 1, (long)(text + at), sizeof text - at);
}

__attribute__((noreturn, used)) void begin(word *stack) {
  word *at = stack + 1 + stack[0] + 1;
  while (*at != 0) at++;
  long page = 0;
  for (at++; at[0] != 0; at += 2)
    if (at[0] == 33 /* AT_SYSINFO_EHDR */) page = (long)at[1];
  say(page != 0);
  long now[2] = {0, 0};
  call(NUMBER(228, 265) /* clock_gettime */, 0, (long)now, 0);
  say(now[0]);
  now[0] = 0;
  call(NUMBER(96, 78) /* gettimeofday */, (long)now, 0, 0);
  say(now[0]);
  say(call(NUMBER(201, 13) /* time */, 0, 0, 0));
#if __i386__
  long long wide[2] = {0, 0};
  call(403 /* clock_gettime64 */, 0, (long)wide, 0);
  say((long)wide[0]);
#endif
  call(NUMBER(231, 252) /* exit_group */, 0, 0, 0);
  for (;;) {
  }
}
