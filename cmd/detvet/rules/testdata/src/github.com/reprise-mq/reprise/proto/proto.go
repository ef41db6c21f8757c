// Package proto stands for generated messages.
package proto

// Message is one.
type Message struct{}

// ProtoReflect makes it one.
func (*Message) ProtoReflect() {}

// String is its text form.
func (*Message) String() string { return "" }

// Code is an enum, whose text is its name.
type Code int32

// String is its name.
func (Code) String() string { return "" }

// Error is a message that is an error, too.
type Error struct{ Message }

// Error is a text of our own.
func (*Error) Error() string { return "" }
