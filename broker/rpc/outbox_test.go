package rpc

import (
	"testing"
	"time"
)

func TestOutboxFillsWrites(t *testing.T) {
	o := newOutbox()
	for _, size := range []int{10, maxWrite - 10, 1, MaxMessage, 5, 5} {
		if !o.put(make([]byte, size)) {
			t.Fatalf("no room for %d bytes", size)
		}
	}
	for _, want := range []int{2, 1, 1, 2} {
		if pieces, ok := o.next(); !ok || len(pieces) != want {
			t.Fatalf("a write of %d messages, want %d", len(pieces), want)
		}
	}
	if o.bytes != 0 {
		t.Fatalf("an empty outbox holds %d bytes", o.bytes)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	o := newOutbox()
	if o.put(make([]byte, MaxMessage+1)) {
		t.Fatal("took a message that is too large")
	}
	piece := make([]byte, MaxMessage-pieceOverhead)
	for range maxQueued / MaxMessage {
		if !o.put(piece) {
			t.Fatal("no room")
		}
	}
	if o.put(nil) {
		t.Fatal("took more than the bound")
	}
	o.next()
	if !o.put(piece) {
		t.Fatal("no room after a write")
	}
}

func TestOutboxEnds(t *testing.T) {
	o := newOutbox()
	o.put([]byte("last"))
	o.finish()
	if o.put([]byte("late")) {
		t.Fatal("took a message after the end")
	}
	select {
	case <-o.done:
		t.Fatal("done before the last message was sent")
	default:
	}
	if pieces, ok := o.next(); !ok || len(pieces) != 1 {
		t.Fatal("the last message is gone")
	}
	if _, ok := o.next(); ok {
		t.Fatal("there is more after the last")
	}
	<-o.done

	o = newOutbox()
	o.put([]byte("dropped"))
	waiting := make(chan struct{})
	go func() { o.awaitRoom(0); close(waiting) }()
	time.Sleep(time.Millisecond)
	o.abort()
	o.abort()
	<-waiting
	<-o.done
	if _, ok := o.next(); ok {
		t.Fatal("gave out a message after the end")
	}
}
