# Golden values of tests/estimation/test_equivalence.py: run `Rscript make_equivalence.R` here.
# Base R 4.2: two one-sided t-tests against the margins, and the interval of level 1 - 2 alpha.
options(digits = 17)
mtcars_y <- split(mtcars$mpg, mtcars$am)
older <- read.csv("data_paired.csv")
paired <- list(older$y[older$z == 1], older$y[older$z == 0])
blocked <- read.csv("data_blocked.csv")
welch <- split(blocked$y, blocked$z)
tost <- function(case, data, estimator, y1, y0, margin, alpha, pair) {
  above <- t.test(y1, y0, mu = -margin, alternative = "greater", paired = pair)
  below <- t.test(y1, y0, mu = margin, alternative = "less", paired = pair)
  larger <- if (above$p.value >= below$p.value) above else below
  interval <- t.test(y1, y0, conf.level = 1 - 2 * alpha, paired = pair)$conf.int
  data.frame(case, data, estimator, margin, alpha, p_above = above$p.value, p_below = below$p.value,
             p_value = max(above$p.value, below$p.value), statistic = unname(larger$statistic),
             df = unname(larger$parameter), conf_low = interval[1], conf_high = interval[2])
}
rows <- list()
for (margin in c(2, 7, 12, 15))
  rows[[length(rows) + 1]] <- tost("mtcars", "mtcars", "welch", mtcars_y[["1"]], mtcars_y[["0"]], margin, .05, FALSE)
for (margin in c(.5, 2, 4))
  rows[[length(rows) + 1]] <- tost("blocked", "blocked", "welch", welch[["1"]], welch[["0"]], margin, .025, FALSE)
for (margin in c(.1, .3, .5))
  rows[[length(rows) + 1]] <- tost("paired", "paired", "paired", paired[[1]], paired[[2]], margin, .05, TRUE)
write.csv(do.call(rbind, rows), "equivalence.csv", row.names = FALSE)
