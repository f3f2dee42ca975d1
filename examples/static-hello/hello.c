#include <stdio.h>

int main(void)
{
	puts("Built twice, the same both times.");
	return 0;
}
