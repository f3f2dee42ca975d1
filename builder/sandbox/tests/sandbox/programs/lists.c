/* Lists a directory: lists HOW DIRECTORY [BUFFER]. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int by_library(const char *path) {
  DIR *directory = opendir(path);
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) puts(entry->d_name);
  return closedir(directory);
}

/* Reads some, goes back to where it was before the third, and reads on. */
static int with_a_step_back(const char *path) {
  DIR *directory = opendir(path);
  long third = 0;
  char name[256];
  for (int i = 0; i < 5; i++) {
    if (i == 2) third = telldir(directory);
    struct dirent *entry = readdir(directory);
    if (i == 2) strcpy(name, entry->d_name);
    puts(entry->d_name);
  }
  /* The stream has the rest in its buffer: only a new one would ask again. */
  int fd = dup(dirfd(directory));
  closedir(directory);
  lseek(fd, third, SEEK_SET);
  directory = fdopendir(fd);
  struct dirent *entry = readdir(directory);
  if (strcmp(entry->d_name, name) != 0) return printf("went back to %s, not %s\n", entry->d_name, name);
  for (int i = 0; i < 2; i++) readdir(directory);
  while ((entry = readdir(directory)) != NULL) puts(entry->d_name);
  return closedir(directory);
}

/* Removes what it is given, as rm -r does. */
static int and_remove(const char *path) {
  DIR *directory = opendir(path);
  int removed = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    if (unlinkat(dirfd(directory), entry->d_name, 0) != 0) return 1;
    removed++;
  }
  printf("removed %d\n", removed);
  return closedir(directory);
}

static int by_call(const char *path, long number, size_t size, size_t name) {
  int fd = open(path, O_RDONLY | O_DIRECTORY);
  char *buffer = malloc(size);
  long count;
  while ((count = syscall(number, fd, buffer, size)) > 0)
    for (long at = 0; at < count;) {
      puts(buffer + at + name);
      unsigned short length;
      memcpy(&length, buffer + at + name - (number == SYS_getdents64 ? 3 : 2), 2);
      at += length;
    }
  if (count < 0) perror("getdents");
  return count != 0;
}

int main(int count, char **arguments) {
  const char *how = arguments[1], *path = arguments[2];
  size_t size = count > 3 ? strtoul(arguments[3], NULL, 10) : 65536;
  if (strcmp(how, "library") == 0) return by_library(path);
  if (strcmp(how, "back") == 0) return with_a_step_back(path);
  if (strcmp(how, "remove") == 0) return and_remove(path);
  if (strcmp(how, "call") == 0) return by_call(path, SYS_getdents64, size, 19);
#ifdef SYS_getdents
  if (strcmp(how, "old-call") == 0) return by_call(path, SYS_getdents, size, 2 * sizeof(long) + 2);
#endif
  return 2;
}
