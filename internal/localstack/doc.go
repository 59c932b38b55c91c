// Package localstack starts the real parts that Parley needs on one machine: a private Postgres, Temporal's development
// server and any other child process, each kept by a guard that ends it when its starter is gone, even after kill -9.
//
// It is for dev, testkit, e2e and bench; no process of production imports it. It reads no variable of the environment
// and gives children an environment made from nothing (Environment), so that a developer's DATABASE_URL or Temporal
// profile never reaches them.
//
// A guard is a process of its own between the starter and the child:
//
//	starter --(pipe, close-on-exec)--> guard --> child (own process group, where wanted another user)
//
// The guard reads the pipe and nothing else. When it ends, because the starter closed it or died, the guard stops the
// child: first with the child's own signal, after a bound with SIGKILL. When the child ends by itself, so does the guard,
// with the same exit code. A guard that dies alone is noticed by the starter, which knows the child's pid and ends it.
//
// Files: guard.go and process.go are the two ends of that pipe; postgres*.go and temporal*.go start the servers;
// place.go decides where data lies; ports.go and lock.go keep processes on one machine out of each other's way.
package localstack
