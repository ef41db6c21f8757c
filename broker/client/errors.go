package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// Error is why an operation did not succeed.
type Error struct {
	// Op says what was asked for.
	Op string
	// Code of the error table; errors.Is goes by it.
	Code api.Code
	// Definite: the operation did not happen and never will. Otherwise it may have
	// happened, or may still.
	Definite bool
	// Message says what is wrong and what to try.
	Message string
	cause   error
}

// Causes to compare with by errors.Is. Any other: &Error{Code: ...}.
var (
	// ErrUnknownTopic: there is no such topic or partition; create it, or check
	// the name.
	ErrUnknownTopic error = &Error{Code: api.Code_UNKNOWN_TOPIC_OR_PARTITION}
	// ErrTopicExists: a topic of that name exists; choose another.
	ErrTopicExists error = &Error{Code: api.Code_TOPIC_ALREADY_EXISTS}
	// ErrOutOfRange: the offset is below the log start or above the end; list
	// offsets.
	ErrOutOfRange error = &Error{Code: api.Code_OFFSET_OUT_OF_RANGE}
	// ErrTimedOut: no answer within the time allowed; the outcome is unknown, unless the
	// error is definite: then the time was over before anything was sent.
	ErrTimedOut error = &Error{Code: api.Code_TIMED_OUT}
)

// ErrClosed: the client was closed before or during the call.
var ErrClosed = errors.New("the client is closed")

// Error says what was asked for, what is wrong, and whether it may have happened.
func (e *Error) Error() string {
	doubt := ""
	if !e.Definite {
		doubt = " (it may have happened)"
	}
	if e.Message == "" {
		return fmt.Sprintf("%s: %v%s", e.Op, e.Code, doubt)
	}
	return fmt.Sprintf("%s: %v: %s%s", e.Op, e.Code, e.Message, doubt)
}

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Unwrap gives the cause outside the cluster: the context's error, or ErrClosed.
func (e *Error) Unwrap() error { return e.cause }

// errorOf makes an error of a result. One that ran out of the context's time says
// so in the context's words too.
func errorOf(op string, ctx context.Context, r core.Result) error {
	if r.Err == nil {
		return nil
	}
	e := &Error{Op: op, Code: r.Err.Code, Definite: r.Definite, Message: r.Err.Message, cause: ctx.Err()}
	if deadline, ok := ctx.Deadline(); ok && e.cause == nil && e.Code.Retriable() && time.Until(deadline) <= verdict {
		e.cause = context.DeadlineExceeded
	}
	return e
}

// unanswered is the error of an operation that was under way when ctx ended, or else the
// client was closed.
func unanswered(op string, ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: op, Code: api.Code_TIMED_OUT, Message: "given up while it was under way", cause: err}
	}
	return &Error{Op: op, Code: api.Code_DISCONNECTED, Message: "the client was closed while it was under way", cause: ErrClosed}
}

// unsent is the error of an operation that never began: the client was closed, or the
// context had ended.
func unsent(op string, cause error) error {
	if errors.Is(cause, ErrClosed) {
		return &Error{Op: op, Code: api.Code_SHUTTING_DOWN, Definite: true, Message: "the client is closed", cause: cause}
	}
	return &Error{Op: op, Code: api.Code_TIMED_OUT, Definite: true, Message: "its context had ended before it began", cause: cause}
}

// crowded is the error of an operation that had to wait for room for too long.
func crowded(op string, cause error) error {
	return &Error{
		Op: op, Code: api.Code_OVERLOADED, Definite: true, cause: cause,
		Message: "the client had no room for it in time; wait for answers, or enlarge the buffer",
	}
}
