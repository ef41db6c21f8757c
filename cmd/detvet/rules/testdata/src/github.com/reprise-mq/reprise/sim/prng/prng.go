// Package prng stands in the plan.
package prng
