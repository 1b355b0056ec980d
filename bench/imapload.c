/* SPDX-License-Identifier: Apache-2.0 */
/* A load of IMAP commands that costs the machine little: a thread with blocking reads for each session. Prints one line of JSON:
 * {"commands": N, "octets": N, "seconds": S, "cpu": S, "ms": [the first 100 commands' times of the first session]}; octets are what the server
 * sent, cpu is this program's own. Any answer but OK ends it with 1.
 *
 * In commands # stands for a random number from 1 to -r, and ^ for the next message of the file -m, as a literal that isn't waited for
 * (LITERAL+); % in -u for the session's number modulo -U. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 64
#define SESSIONS_MAX 200
#define TIMES_MAX 100
#define BUFFER_SIZE (4 << 20) /* SEARCH answers with one line; what is not used is not there */

typedef struct {
	const char *start;
	size_t size;
} Message;

static const char *port, *user = "alice", *password = "wonderland";
static const char *before[COMMANDS_MAX], *loop[COMMANDS_MAX];
static unsigned n_before, n_loop, sessions = 1, users = 1, rounds = 1, range = 1;
static double seconds; /* 0: so many rounds */
static bool reconnect; /* each round is a connection of its own, with log-on and -b */
static Message *messages;
static size_t n_messages;
static double times[TIMES_MAX];
static pthread_barrier_t ready;

typedef struct {
	pthread_t thread;
	unsigned number, tag, random;
	size_t message;
	int fd;
	uint64_t commands, octets;
	size_t start, end; /* of what is in the buffer */
	char buffer[BUFFER_SIZE];
} Session;

__attribute__ ((noreturn, format (printf, 1, 2))) static void
die (const char *format, ...)
{
	va_list args;
	va_start (args, format);
	fprintf (stderr, "imapload: ");
	vfprintf (stderr, format, args);
	fprintf (stderr, "\n");
	exit (1);
}

static double
now (void)
{
	struct timespec t;
	clock_gettime (CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* ---- The file of messages: a line with the size of each, then its octets ---- */

static void
read_messages (const char *path)
{
	FILE *file = fopen (path, "rb");
	if (!file || fseek (file, 0, SEEK_END) != 0)
		die ("%s can't be read", path);
	size_t size = (size_t) ftell (file), at = 0;
	char *all = malloc (size + 1);
	rewind (file);
	if (!all || fread (all, 1, size, file) != size)
		die ("%s can't be read", path);
	fclose (file);
	all[size] = '\0';
	while (at < size) {
		char *rest;
		size_t n = strtoul (all + at, &rest, 10);
		at = (size_t) (rest + 1 - all);
		if (*rest != '\n' || n > size - at)
			die ("%s: octet %zu is no size", path, at);
		if (n_messages % 1024 == 0 && !(messages = realloc (messages, (n_messages + 1024) * sizeof *messages)))
			die ("no memory");
		messages[n_messages++] = (Message){all + at, n};
		at += n;
	}
}

/* ---- Answers ---- */

static void
fill (Session *s)
{
	memmove (s->buffer, s->buffer + s->start, s->end - s->start);
	s->end -= s->start;
	s->start = 0;
	ssize_t n = s->end < BUFFER_SIZE ? recv (s->fd, s->buffer + s->end, BUFFER_SIZE - s->end, 0) : 0;
	if (n <= 0)
		die ("session %u: the server closed the connection, or sent too long a line", s->number);
	s->end += (size_t) n;
	s->octets += (uint64_t) n;
}

/* A line without its end, valid until the next call. */
static char *
read_line (Session *s)
{
	size_t seen = 0;
	char *end;
	while (!(end = memchr (s->buffer + s->start + seen, '\n', s->end - s->start - seen))) {
		seen = s->end - s->start;
		fill (s);
	}
	char *line = s->buffer + s->start;
	s->start = (size_t) (end + 1 - s->buffer);
	end[end > line && end[-1] == '\r' ? -1 : 0] = '\0';
	return line;
}

static void
skip (Session *s, size_t size)
{
	while (size > s->end - s->start) {
		size -= s->end - s->start;
		s->start = s->end;
		fill (s);
	}
	s->start += size;
}

static void
expect_ok (Session *s, const char *command)
{
	char tag[16];
	int n = snprintf (tag, sizeof tag, "t%u ", s->tag);
	for (;;) {
		char *line = read_line (s), *open = strrchr (line, '{');
		if (strncmp (line, tag, (size_t) n) == 0) {
			if (strncmp (line + n, "OK", 2) != 0)
				die ("%.200s: %s", command, line);
			s->commands++;
			return;
		}
		if (open && line[strlen (line) - 1] == '}')
			skip (s, strtoul (open + 1, NULL, 10));
	}
}

/* ---- Commands ---- */

static void
send_all (Session *s, const char *octets, size_t size)
{
	while (size) {
		ssize_t n = send (s->fd, octets, size, MSG_NOSIGNAL);
		if (n <= 0)
			die ("session %u: the server takes no more", s->number);
		octets += n;
		size -= (size_t) n;
	}
}

/* Sends what @out has, and makes it empty. */
static void
flush (Session *s, FILE *out, char **text, size_t *size)
{
	fflush (out);
	send_all (s, *text, *size);
	rewind (out);
}

static void
execute (Session *s, const char *command)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream (&text, &size);
	if (!out)
		die ("no memory");
	fprintf (out, "t%u ", ++s->tag);
	for (const char *c = command; *c; c++)
		if (*c == '#') {
			s->random = s->random * 1103515245 + 12345;
			fprintf (out, "%u", 1 + (s->random >> 8) % range);
		} else if (*c == '%') {
			fprintf (out, "%u", s->number % users);
		} else if (*c == '^') {
			if (!n_messages)
				die ("^ wants -m");
			Message *m = &messages[s->message++ % n_messages];
			fprintf (out, "{%zu+}\r\n", m->size);
			flush (s, out, &text, &size);
			send_all (s, m->start, m->size);
		} else {
			fputc (*c, out);
		}
	fputs ("\r\n", out);
	flush (s, out, &text, &size);
	fclose (out);
	free (text);
	expect_ok (s, command);
}

static void
log_on (Session *s)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons ((uint16_t) atoi (port)), .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
	char command[512];
	int one = 1;
	s->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s->start = s->end = 0;
	if (s->fd < 0 || connect (s->fd, (struct sockaddr *) &where, sizeof where) != 0)
		die ("nothing answers at port %s", port);
	setsockopt (s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	read_line (s);
	snprintf (command, sizeof command, "LOGIN %s %s", user, password);
	execute (s, command);
	for (unsigned i = 0; i < n_before; i++)
		execute (s, before[i]);
}

static void
log_off (Session *s)
{
	execute (s, "LOGOUT");
	close (s->fd);
}

static void
one_round (Session *s, uint64_t *done)
{
	if (reconnect)
		log_on (s);
	for (unsigned i = 0; i < n_loop; i++, ++*done) {
		double began = now ();
		execute (s, loop[(i + s->number) % n_loop]); /* not all the same at the same time */
		if (s->number == 0 && *done < TIMES_MAX)
			times[*done] = now () - began;
	}
	if (reconnect)
		log_off (s);
}

static void *
run (void *data)
{
	Session *s = data;
	uint64_t done = 0;
	if (!reconnect)
		log_on (s);
	s->commands = s->octets = 0;
	pthread_barrier_wait (&ready);
	double end = now () + seconds;
	for (unsigned i = 0; seconds > 0 ? now () < end : i < rounds; i++)
		one_round (s, &done);
	uint64_t commands = s->commands, octets = s->octets;
	pthread_barrier_wait (&ready);
	if (!reconnect)
		log_off (s);
	s->commands = commands;
	s->octets = octets;
	return NULL;
}

static void
read_options (int argc, char **argv)
{
	int letter;
	while ((letter = getopt (argc, argv, "u:U:p:m:c:t:n:r:b:l:R")) > 0)
		switch (letter) {
		case 'u': user = optarg; break;
		case 'U': users = (unsigned) atoi (optarg); break;
		case 'p': password = optarg; break;
		case 'm': read_messages (optarg); break;
		case 'c': sessions = (unsigned) atoi (optarg); break;
		case 't': seconds = atof (optarg); break;
		case 'n': rounds = (unsigned) atoi (optarg); break;
		case 'r': range = (unsigned) atoi (optarg); break;
		case 'R': reconnect = true; break;
		case 'b': if (n_before < COMMANDS_MAX) before[n_before++] = optarg; break;
		case 'l': if (n_loop < COMMANDS_MAX) loop[n_loop++] = optarg; break;
		default: optind = argc;
		}
	if (optind != argc - 1 || !sessions || sessions > SESSIONS_MAX || !users || !range || (!n_loop && !reconnect)) {
		fprintf (stderr, "usage: imapload [-u USER] [-U USERS] [-p PASSWORD] [-c SESSIONS] [-n ROUNDS | -t SECONDS] [-m MESSAGES] [-r RANGE] [-R]\n"
		                 "       [-b COMMAND]... -l COMMAND... PORT\n");
		exit (2);
	}
	port = argv[optind];
}

static double
cpu (void)
{
	struct rusage used;
	getrusage (RUSAGE_SELF, &used);
	return (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int
main (int argc, char **argv)
{
	read_options (argc, argv);
	Session *all = calloc (sessions, sizeof *all);
	uint64_t commands = 0, octets = 0;
	if (!all || pthread_barrier_init (&ready, NULL, sessions + 1) != 0)
		die ("no memory");
	for (unsigned i = 0; i < sessions; i++) {
		all[i].number = i;
		all[i].random = i * 7919 + 1;
		all[i].message = n_messages / sessions * i;
		if (pthread_create (&all[i].thread, NULL, run, &all[i]) != 0)
			die ("no thread");
	}
	pthread_barrier_wait (&ready);
	double began = now (), used = cpu ();
	pthread_barrier_wait (&ready);
	double took = now () - began;
	used = cpu () - used;
	for (unsigned i = 0; i < sessions; i++) {
		pthread_join (all[i].thread, NULL);
		commands += all[i].commands;
		octets += all[i].octets;
	}
	printf ("{\"commands\": %llu, \"octets\": %llu, \"seconds\": %.6f, \"cpu\": %.6f, \"ms\": [", (unsigned long long) commands, (unsigned long long) octets,
	        took, used);
	for (unsigned i = 0; i < TIMES_MAX && times[i] > 0; i++)
		printf ("%s%.3f", i ? ", " : "", times[i] * 1000);
	printf ("]}\n");
	return 0;
}
