// Package world breaks the rule of its name.
package world

import (
	"crypto/rand"     // want `the core imports crypto/rand: take a \*prng.Stream`
	_ "encoding/gob"  // want `the core imports encoding/gob: .* use broker/codec`
	_ "hash/maphash"  // want `the core imports hash/maphash`
	_ "log"           // want `the core imports log: hand a trace.Event to the trace.Sink`
	_ "math/rand/v2"  // want `the core imports math/rand/v2`
	_ "net/url"       // want `the core imports net/url: go through env.Network`
	_ "os"            // want `the core imports os`
	_ "runtime/debug" // want `the core imports runtime/debug`
	t "time"
	_ "unsafe" // want `the core imports unsafe`
)

// Timeout is a constant: it reads no clock.
const Timeout = 3 * t.Second

func clock() (t.Time, t.Duration) {
	t.Sleep(1)         // want `the core uses time.Sleep`
	_ = t.After        // want `the core uses time.After`
	wait := t.NewTimer // want `the core uses time.NewTimer`
	_ = wait
	start := t.UnixMilli(5)
	// A method of a value at hand, though its name is that of a function.
	_ = start.After(t.Unix(1, 0))
	return t.Now(), t.Since(start) // want `the core uses time.Now: take the time from env.Clock` `the core uses time.Since`
}

var _ = rand.Reader
