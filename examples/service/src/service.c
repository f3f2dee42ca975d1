/* A small HTTP server: hands out the files of one directory, and says on /health whether it can. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef VERSION
#error "VERSION is not set"
#endif

enum { REQUEST = 1024, NAME = 256, BLOCK = 4096 };

static void stop(int signal)
{
	(void)signal;
	_exit(0);
}

static void answer(FILE *to, const char *status, const char *text)
{
	fprintf(to, "HTTP/1.0 %s\r\nServer: service/%s\r\nContent-Length: %zu\r\n\r\n%s", status,
		VERSION, strlen(text), text);
}

static void hand_out(FILE *to, const char *name)
{
	char block[BLOCK];
	size_t length;
	FILE *file = fopen(name, "rb");

	if (!file) {
		answer(to, "404 Not Found", "there is no such page\n");
		return;
	}
	fprintf(to, "HTTP/1.0 200 OK\r\nServer: service/%s\r\n\r\n", VERSION);
	while ((length = fread(block, 1, sizeof block, file)) > 0)
		fwrite(block, 1, length, to);
	fclose(file);
}

static void serve(FILE *from, FILE *to)
{
	char request[REQUEST], header[REQUEST], name[NAME];

	if (!fgets(request, sizeof request, from))
		return;
	/* What is not read makes the kernel break the connection off. */
	while (fgets(header, sizeof header, from) && strcmp(header, "\r\n") && strcmp(header, "\n"))
		continue;
	/* Names are one word below the directory: no slash, no dot in front. */
	if (sscanf(request, "GET /%255[A-Za-z0-9_.-] HTTP", name) != 1)
		strcpy(name, "index.html");
	if (!strcmp(name, "health"))
		answer(to, "200 OK", access("index.html", R_OK) ? "no pages\n" : "well\n");
	else if (name[0] == '.')
		answer(to, "404 Not Found", "there is no such page\n");
	else
		hand_out(to, name);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener, yes = 1;

	if (argc != 3 || chdir(argv[2])) {
		fprintf(stderr, "usage: service PORT DIRECTORY\n");
		return 2;
	}
	signal(SIGTERM, stop);
	signal(SIGPIPE, SIG_IGN);
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
		perror("service");
		return 1;
	}
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		FILE *from = connection < 0 ? NULL : fdopen(connection, "r");
		FILE *to = from ? fdopen(dup(connection), "w") : NULL;

		if (to) {
			serve(from, to);
			fclose(to);
		}
		if (from)
			fclose(from);
	}
}
