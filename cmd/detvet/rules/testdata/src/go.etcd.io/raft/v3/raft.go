// Package raft stands for the library.
package raft

// Status is printed in map order.
type Status struct{}

// String prints it.
func (Status) String() string { return "" }
