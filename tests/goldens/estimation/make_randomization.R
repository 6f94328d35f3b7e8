# Golden values of randomisation inference: run `Rscript make_randomization.R` in this folder.
# Every assignment listed and re-estimated, one at a time, by estimatr; coin as a second opinion.
suppressPackageStartupMessages({library(estimatr); library(coin)})
options(digits = 17)
set.seed(20250312)
units <- data.frame(y = round(rexp(9) + c(1, 1, 1, 1, 0, 0, 0, 0, 0), 2), z = rep(c(1, 0), c(4, 5)))
blocks <- data.frame(y = round(rnorm(10) + rep(0:1, c(5, 5)), 2), z = c(1, 1, 0, 0, 0, 1, 1, 1, 0, 0),
                     block = rep(1:2, each = 5))
clusters <- data.frame(cluster = rep(1:8, times = c(2, 4, 3, 1, 5, 2, 3, 4)))
clusters$z <- as.integer(clusters$cluster %in% c(1, 4, 5, 8))
clusters$y <- round(rnorm(8)[clusters$cluster] + rnorm(24) + clusters$z, 2)
family <- rep(1:9, times = c(1, 3, 2, 4, 1, 2, 3, 2, 1))
base <- round(rnorm(19), 2)
pairs <- data.frame(unit = rep(1:19, 2), z = rep(c(1, 0), each = 19), cluster = rep(family, 2),
                    y = c(base + round(.4 + rnorm(9)[family] + rnorm(19), 2), base))
for (name in c("units", "blocks", "clusters", "pairs"))
  write.csv(get(name), paste0("data_redraw_", name, ".csv"), row.names = FALSE)

choose_arms <- function(z) lapply(combn(length(z), sum(z), simplify = FALSE),
                                  function(i) replace(rep(0, length(z)), i, 1))
t_of <- function(b, se) b / se
ways <- list(
  units = choose_arms(units$z),
  blocks = do.call(c, lapply(choose_arms(blocks$z[1:5]), function(a)
    lapply(choose_arms(blocks$z[6:10]), function(b) c(a, b)))),
  clusters = lapply(choose_arms(tapply(clusters$z, clusters$cluster, max)), function(a) a[clusters$cluster]))
fits <- list(
  units = function(d) lm_robust(y ~ z, d, se_type = "HC2"),
  blocks = function(d) difference_in_means(y ~ z, d, blocks = block),
  clusters = function(d) lm_robust(y ~ z, d, clusters = cluster, se_type = "CR2"))
stat <- function(name, d, tau = 0) {
  f <- fits[[name]](d); i <- match("z", f$term); (f$coefficients[[i]] - tau) / f$std.error[[i]] }
p_at <- function(name, tau) {
  d <- get(name); null <- d$y - tau * d$z
  made <- abs(stat(name, d, tau))
  drawn <- sapply(ways[[name]], function(way) { d$y <- null; d$z <- way; abs(stat(name, d)) })
  mean(drawn >= made * (1 - 1e-9))
}
signs <- as.matrix(expand.grid(rep(list(c(-1, 1)), 9)))
p_pairs <- function(tau) {
  d <- with(pairs, y[z == 1] - y[z == 0]) - tau
  one <- function(x) { f <- lm_robust(x ~ 1, clusters = family, se_type = "CR2"); abs(f$coefficients / f$std.error) }
  made <- one(d); mean(apply(signs, 1, function(s) one(d * s[family])) >= made * (1 - 1e-9))
}
rows <- list()
for (name in names(ways)) for (tau in c(0, -.7, .4, 1.3, 2.5))
  rows[[length(rows) + 1]] <- data.frame(data = name, tau, p_value = p_at(name, tau))
for (tau in c(0, -.5, .8)) rows[[length(rows) + 1]] <- data.frame(data = "pairs", tau, p_value = p_pairs(tau))
write.csv(do.call(rbind, rows), "redraw_p.csv", row.names = FALSE)
cat(pvalue(oneway_test(extra ~ group, sleep, distribution = "exact")), "\n")
