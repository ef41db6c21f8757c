// Package cobra stands for the library.
package cobra
