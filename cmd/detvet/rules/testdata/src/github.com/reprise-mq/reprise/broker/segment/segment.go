// Package segment stands in the plan.
package segment
