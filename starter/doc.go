// Starter is the command line of Parley: it sets up, sends, follows and operates.
//
// It talks to Postgres (through internal/postgres) and to Temporal (through contract) directly; it needs neither webhook
// nor worker to run, except that a flow's own account of itself, and the answer to a command, come from a workflow worker.
// It imports neither workflows nor activities.
//
// Every command prints text, or one JSON document with --json, on stdout, and errors on stderr. The exit codes:
//
//	  0  done
//	  1  failed for a reason that has no code of its own
//	  2  the command line or a value in it is wrong
//	  3  what was named does not exist
//	  4  refused: it contradicts what there is
//	  5  the configuration is wrong, or a permission is missing
//	  6  a server does not answer; try again
//	  7  setup: somebody else must create what is missing
//	  8  doctor: something has failed
//	 10  send --wait: the message was not sent
//	 11  send --wait: the message may have been sent
//	 12  send --wait: the message was sent but not delivered
//	130  interrupted; a flow that was started goes on
package main
