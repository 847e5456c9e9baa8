/* A process that will wait for days keeps no more of the program in memory than it uses. */
#pragma once

/* Lets go of the pages of the program file: those that are needed come back from the page cache.
 * Nothing is lost, since only what cannot be written is let go. */
void process_slim(void);
