# Golden values of simultaneous inference: run `Rscript make_dunnett.R` in this folder. R 4.2,
# mvtnorm by Genz and Bretz's integration to 1e-7.
suppressPackageStartupMessages(library(mvtnorm))
options(digits = 17)
set.seed(20250314)
arms <- list(ctrl = rnorm(20, 0, 1), low = rnorm(10, .5, 2), mid = rnorm(20, .9, 1), high = rnorm(14, 1.1, 3))
data <- data.frame(y = unlist(arms), group = rep(names(arms), lengths(arms)))
write.csv(data, "data_doses.csv", row.names = FALSE)
v <- sapply(arms, function(x) var(x) / length(x))
se <- sqrt(v[-1] + v[1]); b <- sapply(arms[-1], mean) - mean(arms$ctrl)
R <- outer(se, se, function(x, y) v[1] / (x * y)); diag(R) <- 1
df <- lengths(arms)[-1] + length(arms$ctrl) - 2   # those of the HC2 difference in means
algorithm <- GenzBretz(maxpts = 5e6, abseps = 1e-7, releps = 0)
p <- sapply(1:3, function(i) { t <- abs(b / se)[i]
  1 - pmvt(rep(-t, 3), rep(t, 3), df = df[i], corr = R, algorithm = algorithm)[1] })
q <- sapply(1:3, function(i) uniroot(function(c) { set.seed(1)
  pmvt(rep(-c, 3), rep(c, 3), df = df[i], corr = R, algorithm = algorithm)[1] - .95 }, c(1.9, 3), tol = 1e-9)$root)
write.csv(data.frame(treatment = names(b), p_adjusted = p, conf_low = b - q * se, conf_high = b + q * se),
          "dunnett.csv", row.names = FALSE)
