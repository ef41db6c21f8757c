// Package floats breaks the rule of its name.
package floats

import "math"

type rate struct {
	perSecond float64 // want `the core has a floating-point number: use integers`
}

func ratio(a, b int) int {
	x := float32(a)  // want `floating-point`
	_ = 1.5 * 2      // want `floating-point`
	_ = math.Sqrt(2) // want `floating-point`
	_ = x            // want `floating-point`
	return 1e3 * a / b
}

const million = 1e6

const third = 1.0 / 3 // want `floating-point`

func harmless() (int, int64) { return million, math.MaxInt64 }
