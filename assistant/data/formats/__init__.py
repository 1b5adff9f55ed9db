"""Official dataset formats, read into the examples that finetuning and evaluation take.

A format is not a task: two of them teach humor, and one teaches nothing that is shipped. Hence a
package of its own, one reader a file; ``convert`` checks and writes what they read.
"""
