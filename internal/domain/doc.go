// Package domain holds Parley's words and pure rules: addresses, statuses, segments, settings, error kinds.
//
// Everything imports it; it imports nothing but the standard library, and touches nothing outside the process:
// no Temporal, no SQL, no HTTP, no clock.
package domain
