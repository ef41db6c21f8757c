// Package journal is the node's one write-ahead log: what every group's raft asks
// to make durable, in batches of which one is written and synced while the next
// gathers.
package journal
