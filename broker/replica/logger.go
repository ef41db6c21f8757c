package replica

import "fmt"

// logger is raft's. What raft says at the lower levels is of use only to who
// debugs raft; what makes it panic is a broken invariant, and panics with its text.
type logger struct{}

func (logger) Debug(...any)            {}
func (logger) Debugf(string, ...any)   {}
func (logger) Info(...any)             {}
func (logger) Infof(string, ...any)    {}
func (logger) Warning(...any)          {}
func (logger) Warningf(string, ...any) {}
func (logger) Error(...any)            {}
func (logger) Errorf(string, ...any)   {}

func (logger) Fatal(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (logger) Fatalf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
func (logger) Panic(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (logger) Panicf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
