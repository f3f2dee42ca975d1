/* Tries one way out of the sandbox. Exits 0 if it was refused and says how, 1 if it was not. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int reached(const char *what)
{
	printf("REACHED %s\n", what);
	return 1;
}

static int refused(const char *what)
{
	printf("refused %s: %s\n", what, strerror(errno));
	return 0;
}

/* A socket that must not be given. */
static int no_socket(int family, int type, int protocol)
{
	if (socket(family, type, protocol) >= 0)
		return reached("socket");
	return refused("socket");
}

/* A TCP connection or an UDP packet to an address. */
static int internet(const char *host, int port, int type)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int is_v6 = strchr(host, ':') != NULL;
	struct sockaddr *address = is_v6 ? (void *)&v6 : (void *)&v4;
	socklen_t length = is_v6 ? sizeof v6 : sizeof v4;
	int fd;

	inet_pton(is_v6 ? AF_INET6 : AF_INET, host,
		  is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
	fd = socket(address->sa_family, type, 0);
	if (fd < 0)
		return reached("no socket of an allowed family");
	if (type == SOCK_DGRAM) {
		/* No connect: the packet itself has to be counted. */
		if (sendto(fd, "x", 1, 0, address, length) == 1)
			return reached(host);
		return refused(host);
	}
	if (connect(fd, address, length) == 0)
		return reached(host);
	return refused(host);
}

/* What a resolver would send, to its server, over TCP too. */
static int name(const char *name, int family)
{
	struct addrinfo hints = { .ai_family = family }, *found;
	int error = getaddrinfo(name, "80", &hints, &found);

	if (error == 0)
		return reached(name);
	printf("refused %s: %s\n", name, gai_strerror(error));
	return 0;
}

/* The abstract name of a socket that listens on the host. */
static int abstract(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path + 1, name, length);
	if (connect(fd, (void *)&address,
		    offsetof(struct sockaddr_un, sun_path) + 1 + length) == 0)
		return reached(name);
	return refused(name);
}

/* What a build may do: talk to itself. */
static int loopback(int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *address = family == AF_INET6 ? (void *)&v6 : (void *)&v4;
	socklen_t length = family == AF_INET6 ? sizeof v6 : sizeof v4;
	int server = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0);

	if (bind(server, address, length) || listen(server, 1)
	    || getsockname(server, address, &length) || connect(client, address, length)) {
		perror("loopback");
		return 1;
	}
	puts("talked to itself");
	return 0;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	const char *to = argc > 2 ? argv[2] : "";

	if (!strcmp(way, "tcp"))
		return internet(to, 80, SOCK_STREAM);
	if (!strcmp(way, "udp"))
		return internet(to, 53, SOCK_DGRAM);
	if (!strcmp(way, "name4"))
		return name(to, AF_INET);
	if (!strcmp(way, "name6"))
		return name(to, AF_INET6);
	if (!strcmp(way, "raw4"))
		return no_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (!strcmp(way, "raw6"))
		return no_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	if (!strcmp(way, "packet"))
		return no_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (!strcmp(way, "netlink"))
		return no_socket(AF_NETLINK, SOCK_RAW, 16 /* NETLINK_GENERIC */);
	if (!strcmp(way, "vsock"))
		return no_socket(AF_VSOCK, SOCK_STREAM, 0);
	if (!strcmp(way, "alg"))
		return no_socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0);
	if (!strcmp(way, "abstract"))
		return abstract(to);
	if (!strcmp(way, "loopback4"))
		return loopback(AF_INET);
	if (!strcmp(way, "loopback6"))
		return loopback(AF_INET6);
	fprintf(stderr, "no such way: %s\n", way);
	return 2;
}
