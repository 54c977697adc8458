/*
 * What one has without a pool: a buffer of 2048 bytes from malloc for each
 * packet, freed in the order in which they came. Answers "BUFFERS TIMES" with
 * the nanoseconds of taking and freeing so many buffers so often.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned char *buffers[4096];

int main(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		unsigned count = 0;
		long times = 0;
		struct timespec start, stop;

		if (sscanf(line, "%u %ld", &count, &times) != 2 || count > 4096)
			return 2;
		clock_gettime(CLOCK_MONOTONIC, &start);
		for (long time = 0; time < times; time++) {
			for (unsigned i = 0; i < count; i++) {
				buffers[i] = malloc(2048);
				/* Or the compiler leaves out what nobody uses; the pool does not touch a frame either. */
				__asm__ volatile("" : : "r"(buffers[i]) : "memory");
			}
			for (unsigned i = 0; i < count; i++)
				free(buffers[i]);
		}
		clock_gettime(CLOCK_MONOTONIC, &stop);
		printf("%lld\n", (stop.tv_sec - start.tv_sec) * 1000000000LL + (stop.tv_nsec - start.tv_nsec));
		fflush(stdout);
	}
	return 0;
}
