/* Holds the namespaces of a pod: sleeps until told to end, and reaps orphans. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int number) {
    (void)number;
    _exit(0);
}

int main(void) {
    struct sigaction reap = {.sa_handler = SIG_IGN, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &reap, NULL);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;) pause();
}
