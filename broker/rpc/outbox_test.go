package rpc

import (
	"testing"
	"time"
)

func TestOutboxFillsWrites(t *testing.T) {
	o := newOutbox()
	for _, size := range []int{10, maxWrite - 10, 1, MaxMessage, 5, 5} {
		o.put(make([]byte, size))
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
	for name, last := range map[string][]byte{"message": make([]byte, MaxMessage+1), "queue": {}} {
		t.Run(name, func(t *testing.T) {
			o := newOutbox()
			piece := make([]byte, MaxMessage-pieceOverhead)
			for range maxQueued / MaxMessage {
				o.put(piece)
			}
			o.next()
			o.put(piece)
			if !o.hadRoom() {
				t.Fatal("no room up to the bound")
			}
			o.put(last)
			<-o.done
			if _, more := o.next(); more || o.hadRoom() || o.bytes != 0 {
				t.Fatal("over the bound the outbox goes on")
			}
		})
	}
}

func TestOutboxEnds(t *testing.T) {
	o := newOutbox()
	o.put([]byte("last"))
	o.finish()
	o.put([]byte("late"))
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
